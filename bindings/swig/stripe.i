/*
 * stripe.i - payments through Stripe, in an extension module of its own: everything else works
 * where libcareforall-stripe is absent. Go wraps these few functions by hand, in ../go/stripe.
 *
 * Like shim.h it owns no behaviour: options go in as arguments, and secrets are only passed on.
 */
%module stripe_native

%{
#include <careforall/adapters/stripe.h>
#include <careforall/careforall.h>
#include <string.h>
%}

%insert("header") "source.h"

%include <stdint.i>
%include "python.i"

%rename("$ignore", regextarget = 1, fullname = 1) "^(cfa|CFA|CAREFORALL|shim)_.*$";
%rename(stripe_free) cfa_stripe_free;
%rename(stripe_provider) cfa_stripe_provider;
%rename(stripe_livemode) cfa_stripe_livemode;
%rename(stripe_secrets_set) cfa_stripe_secrets_set;
%rename(stripe_export_open) cfa_stripe_export_open;
%rename(stripe_export_free) cfa_stripe_export_free;
%rename(source_free) shim_source_free;
%rename(STRIPE_CHECKOUT) CFA_STRIPE_CHECKOUT;
%rename(STRIPE_INTENT) CFA_STRIPE_INTENT;
%rename(STRIPE_API_VERSION) CFA_STRIPE_API_VERSION;
%rename("%(strip:[CFA_])s", regextarget = 1, fullname = 1) "^CFA_EINVAL$";

%handle(cfa_stripe)
%handle(cfa_stripe_export)
%handle(shim_source)

/* A tuple of str. One more than can be is enough for C to refuse them. */
%typemap(in) (const char *const *webhook_secrets, size_t webhook_secret_count)
    (const char *texts[CFA_STRIPE_WEBHOOK_SECRETS_MAX + 1],
     char *owned[CFA_STRIPE_WEBHOOK_SECRETS_MAX + 1] = { NULL }) %{
  if (!PyTuple_Check($input)) {
    PyErr_SetString(PyExc_TypeError, "webhook_secrets is a tuple of str");
    SWIG_fail;
  }
  $1 = ($1_ltype)texts;
  $2 = (size_t)PyTuple_GET_SIZE($input);
  if ($2 > CFA_STRIPE_WEBHOOK_SECRETS_MAX) $2 = CFA_STRIPE_WEBHOOK_SECRETS_MAX + 1;
  for (size_t i = 0; i < $2; i++) {
    PyObject *item = PyTuple_GET_ITEM($input, (Py_ssize_t)i);
    if (!careforall_as_text(item, "webhook_secrets", &texts[i], &owned[i])) SWIG_fail;
  }
%}
%typemap(freearg) (const char *const *webhook_secrets, size_t webhook_secret_count) %{
  for (size_t i = 0; i <= CFA_STRIPE_WEBHOOK_SECRETS_MAX; i++) PyMem_Free(owned$argnum[i]);
%}

%blocking(stripe_new)
%blocking(cfa_stripe_free)
%blocking(cfa_stripe_secrets_set)
%blocking(cfa_stripe_export_open)

%inline %{
static cfa_status stripe_new(cfa_stripe **out, const char *secret_key,
                             const char *const *webhook_secrets, size_t webhook_secret_count,
                             const char *account, const char *base_url, int32_t mode,
                             const char *product_name, const char *ca_file,
                             int32_t connect_timeout_ms, int32_t response_limit_bytes,
                             int32_t in_flight_limit)
{
    cfa_stripe_options options = CFA_STRIPE_OPTIONS_INIT;
    options.secret_key = secret_key;
    options.webhook_secrets = webhook_secrets;
    options.webhook_secret_count = webhook_secret_count;
    options.account = account;
    options.base_url = base_url;
    options.mode = mode;
    options.product_name = product_name;
    options.ca_file = ca_file;
    options.connect_timeout_ms = connect_timeout_ms;
    options.response_limit_bytes = response_limit_bytes;
    options.in_flight_limit = in_flight_limit;
    return cfa_stripe_new(out, &options);
}

static cfa_status stripe_source_new(shim_source **out, cfa_stripe_export *file)
{
    return shim_source_new(out, cfa_stripe_export_next, file, "stripe");
}
%}

%include <careforall/base.h>
%include "source.h"
%include <careforall/adapters/stripe.h>
