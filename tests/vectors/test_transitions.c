/*
 * test_transitions.c - transitions.json: what a provider reports, and what the payment becomes.
 */
#include "story.h"

static const json_t *file;

START_TEST(story) { story_run(vector_at(file, "stories", _i)); }
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("transitions.json", "careforall.vectors.transitions.v1");
    Suite *suite = suite_create("vectors.transitions");
    vectors_add(suite, file, "stories", story);
    return vectors_run(suite, argc, argv);
}
