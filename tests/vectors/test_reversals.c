/*
 * test_reversals.c - reversals.json: refunds, disputes and fees, and what they take from the totals.
 */
#include "story.h"

static const json_t *file;

START_TEST(story) { story_run(vector_at(file, "stories", _i)); }
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("reversals.json", "careforall.vectors.reversals.v1");
    Suite *suite = suite_create("vectors.reversals");
    vectors_add(suite, file, "stories", story);
    return vectors_run(suite, argc, argv);
}
