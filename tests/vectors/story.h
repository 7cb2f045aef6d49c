/*
 * story.h - runs one story of transitions.json or contributions.json: a book in memory, a provider
 * whose calls are pulled and answered as the story says, webhooks that the host accepts.
 */
#ifndef TESTS_VECTORS_STORY_H
#define TESTS_VECTORS_STORY_H

#include "vectors.h"

/* Take the steps and compare everything that the story expects. */
void story_run(const json_t *story);

#endif
