/*
 * test_contributions.c - contributions.json: what payments add to the totals, event by event.
 */
#include "story.h"

static const json_t *file;

START_TEST(story) { story_run(vector_at(file, "stories", _i)); }
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("contributions.json", "careforall.vectors.contributions.v1");
    Suite *suite = suite_create("vectors.contributions");
    vectors_add(suite, file, "stories", story);
    return vectors_run(suite, argc, argv);
}
