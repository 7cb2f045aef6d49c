/* cors.h - which pages of other origins may read answers: those that the configuration names. */
#ifndef SERVER_CORS_H
#define SERVER_CORS_H

#include "http.h"

/* Note whether the request comes from a page of an allowed origin. */
void cors_admit(http_request *request);

/* Add what such a page's browser must be told. */
void cors_answer(const http_request *request, struct MHD_Response *response);

#endif
