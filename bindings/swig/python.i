/*
 * python.i - the typemaps of careforall.i for Python.
 *
 * The interpreter lock is given up in %blocking functions only, around the C call alone; the error
 * is read after it is taken back, on the same thread and in the same C function.
 */

%define %blocking(name)
%exception name %{
  Py_BEGIN_ALLOW_THREADS
  $action
  Py_END_ALLOW_THREADS
%}
%enddef

%{
/* Raise the exception of careforall.errors that this thread's last failure stands for. */
static void careforall_raise(cfa_status status)
{
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.status != status) {
        memset(&error, 0, sizeof error);
        error.status = status;
    }
    PyObject *module = PyImport_ImportModule("careforall.errors");
    if (module == NULL)
        return;
    const Py_ssize_t size = (Py_ssize_t)strlen(error.message);
    PyObject *raised = PyObject_CallMethod(module, "from_detail", "iissNL", (int)status,
                                           (int)error.native_code, error.origin, error.field,
                                           PyUnicode_DecodeUTF8(error.message, size, "replace"),
                                           (long long)error.retry_after_ms);
    if (raised != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_XDECREF(raised);
    Py_DECREF(module);
}

static PyObject *careforall_none(void)
{
    Py_RETURN_NONE;
}

static PyObject *careforall_text(const char *text)
{
    if (text == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *careforall_bytes(cfa_slice slice)
{
    return PyBytes_FromStringAndSize((const char *)slice.data, (Py_ssize_t)slice.size);
}

static PyObject *careforall_money(cfa_money money)
{
    return Py_BuildValue("(Ls)", (long long)money.minor, money.currency);
}

/* (minor, currency) or a careforall.Money, which reads the same way. */
static int careforall_as_money(PyObject *value, cfa_money *out)
{
    long long minor = 0;
    const char *currency = NULL;
    memset(out, 0, sizeof *out);
    if (!PyTuple_Check(value) || !PyArg_ParseTuple(value, "Ls", &minor, &currency)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "an amount is a pair (minor, currency)");
        return 0;
    }
    out->minor = minor;
    if (strlen(currency) < sizeof out->currency)
        memcpy(out->currency, currency, strlen(currency));
    return 1;
}

/* Text for C, in `*out_owned` when it had to be changed. NULL for None; `field` is for errors. */
static int careforall_as_text(PyObject *value, const char *field, const char **out,
                              char **out_owned)
{
    Py_ssize_t size = 0;
    const char *text = NULL;
    *out = NULL;
    *out_owned = NULL;
    if (value == Py_None)
        return 1;
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "expected str, not %.100s", Py_TYPE(value)->tp_name);
        return 0;
    }
    text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == NULL) {
        PyErr_Clear();
        careforall_raise(cfa_error_set(CFA_EENCODING, "python", field, 0,
                                       "text holds a lone surrogate"));
        return 0;
    }
    *out = text;
    if (memchr(text, '\0', (size_t)size) != NULL) {
        char *copy = (char *)PyMem_Malloc((size_t)size + 1);
        if (copy == NULL) {
            PyErr_NoMemory();
            return 0;
        }
        for (Py_ssize_t i = 0; i < size; i++)
            copy[i] = text[i] == '\0' ? '\1' : text[i];
        copy[size] = '\0';
        *out = *out_owned = copy;
    }
    return 1;
}
%}

%init %{
  {
    int major = 0, minor = 0;
    if (sscanf(cfa_version(), "%d.%d", &major, &minor) != 2 ||
        major * 1000 + minor < CFA_VERSION_MAJOR * 1000 + CFA_VERSION_MINOR) {
      PyErr_Format(PyExc_ImportError, "built for libcareforall %s, found %s", CFA_VERSION,
                   cfa_version());
      return NULL;
    }
  }
%}

/* ---- status --------------------------------------------------------------------------------- */

%typemap(out) cfa_status %{
  if ($1 != CFA_OK) {
    careforall_raise($1);
    SWIG_fail;
  }
  $result = Py_None;
  Py_INCREF($result);
%}

/* ---- text, bytes, money --------------------------------------------------------------------- */

%typemap(in) const char * (char *owned = NULL) %{
  if (!careforall_as_text($input, "$1_name", (const char **)&$1, &owned)) SWIG_fail;
%}
%typemap(freearg) const char * %{ PyMem_Free(owned$argnum); %}
%typemap(out) const char * %{ $result = careforall_text($1); %}

%typemap(in) cfa_slice %{
  {
    char *data = NULL;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize($input, &data, &size) != 0) SWIG_fail;
    $1.data = data;
    $1.size = (size_t)size;
  }
%}
%typemap(out) cfa_slice %{ $result = careforall_bytes($1); %}

%typemap(in) cfa_money %{ if (!careforall_as_money($input, &$1)) SWIG_fail; %}
%typemap(out) cfa_money %{ $result = careforall_money($1); %}

/* ---- outputs replace the result; several make a tuple --------------------------------------- */

%define %handle(type)
%typemap(in, numinputs = 0) type **out (type *made = NULL) %{ $1 = &made; %}
%typemap(argout) type **out %{
  Py_DECREF($result);
  $result = *$1 == NULL ? careforall_none() : SWIG_NewPointerObj(*$1, $descriptor(type *), 0);
%}
%enddef

%handle(cfa_storage)
%handle(cfa_engine)
%handle(cfa_provider)
%handle(cfa_play)
%handle(cfa_campaign)
%handle(cfa_campaign_list)
%handle(cfa_pledge)
%handle(cfa_pledge_list)
%handle(cfa_payment)
%handle(cfa_refund)
%handle(cfa_refund_list)
%handle(cfa_dispute)
%handle(cfa_dispute_list)
%handle(cfa_transition_list)
%handle(cfa_totals)
%handle(cfa_event_list)
%handle(cfa_cursor_list)
%handle(cfa_letter_list)
%handle(cfa_act_list)
%handle(cfa_audit)
%handle(cfa_story)
%handle(cfa_checkup)
%handle(cfa_reconciliation)
%handle(cfa_subscription)
%handle(cfa_pulled_call)
%handle(shim_facts)
%handle(shim_source)
%handle(shim_record)
%handle(shim_stop)

%define %number(type, convert)
%typemap(in, numinputs = 0) type *OUTPUT (type made = 0) %{ $1 = &made; %}
%typemap(argout) type *OUTPUT %{
  Py_DECREF($result);
  $result = convert(*$1);
%}
%enddef

%number(int32_t, PyLong_FromLong)
%number(int64_t, PyLong_FromLongLong)
%apply int32_t *OUTPUT { int32_t *out, int32_t *out_done, int32_t *out_equal };
%apply int32_t *OUTPUT { int32_t *out_delivered, cfa_webhook_verdict *out };
%apply int64_t *OUTPUT { int64_t *out, int64_t *out_charges, int64_t *out_done, int64_t *out_count };

%typemap(in, numinputs = 0) cfa_money *out (cfa_money made) %{ $1 = &made; %}
%typemap(argout) cfa_money *out %{
  Py_DECREF($result);
  $result = careforall_money(*$1);
%}

%typemap(in, numinputs = 0) char **OUTPUT (char *made = NULL) %{ $1 = &made; %}
%typemap(argout) char **OUTPUT %{
  Py_DECREF($result);
  $result = careforall_text(*$1);
  cfa_free(*$1);
%}
%apply char **OUTPUT { char **out, char **out_json, char **out_signature, char **out_text };

%typemap(in, numinputs = 0) (char **out_signature, char **out_body)
    (char *signature = NULL, char *body = NULL) %{ $1 = &signature; $2 = &body; %}
%typemap(argout) (char **out_signature, char **out_body) %{
  Py_DECREF($result);
  $result = Py_BuildValue("(NN)", careforall_text(*$1), careforall_text(*$2));
  cfa_free(*$1);
  cfa_free(*$2);
%}

%typemap(in, numinputs = 0) (cfa_campaign **out_campaign, cfa_totals **out_totals)
    (cfa_campaign *campaign = NULL, cfa_totals *totals = NULL) %{ $1 = &campaign; $2 = &totals; %}
%typemap(argout) (cfa_campaign **out_campaign, cfa_totals **out_totals) %{
  Py_DECREF($result);
  $result = Py_BuildValue("(NN)", SWIG_NewPointerObj(*$1, $descriptor(cfa_campaign *), 0),
                          SWIG_NewPointerObj(*$2, $descriptor(cfa_totals *), 0));
%}

%typemap(in, numinputs = 0) (int64_t *out_intents, int64_t *out_charges, int64_t *out_charged_twice,
                             int64_t *out_calls, int64_t *out_webhooks_pending, int64_t *out_refunds,
                             int64_t *out_refunded_twice, int64_t *out_disputes)
    (int64_t counts[8] = { 0 }) %{
  $1 = &counts[0]; $2 = &counts[1]; $3 = &counts[2]; $4 = &counts[3]; $5 = &counts[4];
  $6 = &counts[5]; $7 = &counts[6]; $8 = &counts[7];
%}
%typemap(argout) (int64_t *out_intents, int64_t *out_charges, int64_t *out_charged_twice,
                  int64_t *out_calls, int64_t *out_webhooks_pending, int64_t *out_refunds,
                  int64_t *out_refunded_twice, int64_t *out_disputes) %{
  Py_DECREF($result);
  $result = Py_BuildValue("(LLLLLLLL)", (long long)*$1, (long long)*$2, (long long)*$3, (long long)*$4,
                          (long long)*$5, (long long)*$6, (long long)*$7, (long long)*$8);
%}

%typemap(in, numinputs = 0) (cfa_reconciliation **out, int64_t *out_repaired)
    (cfa_reconciliation *report = NULL, int64_t repaired = 0) %{ $1 = &report; $2 = &repaired; %}
%typemap(argout) (cfa_reconciliation **out, int64_t *out_repaired) %{
  Py_DECREF($result);
  $result = Py_BuildValue("(NL)", SWIG_NewPointerObj(*$1, $descriptor(cfa_reconciliation *), 0),
                          (long long)*$2);
%}

%typemap(in, numinputs = 0) (int32_t *out_found, int32_t *out_known)
    (int32_t found = 0, int32_t known = 0) %{ $1 = &found; $2 = &known; %}
%typemap(argout) (int32_t *out_found, int32_t *out_known) %{
  Py_DECREF($result);
  $result = Py_BuildValue("(ii)", (int)*$1, (int)*$2);
%}

/* ---- structs, copied into tuples in the order of their fields ------------------------------- */

%typemap(out) const cfa_event_view * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(LNNNNLLNN)", (long long)$1->position, careforall_text($1->source),
                      careforall_text($1->id), careforall_text($1->event_type),
                      careforall_text($1->subject), (long long)$1->sequence, (long long)$1->time_us,
                      careforall_text($1->traceparent), careforall_bytes($1->data));
%}

%typemap(out) const cfa_cursor_view * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(NLLLLLOiNLLLLLL)", careforall_text($1->name), (long long)$1->head,
                      (long long)$1->acknowledged, (long long)$1->lag, (long long)$1->oldest_us,
                      (long long)$1->epoch, $1->owned ? Py_True : Py_False, (int)$1->paused,
                      careforall_text($1->reason), (long long)$1->paused_us,
                      (long long)$1->updated_us, (long long)$1->refused,
                      (long long)$1->refused_tries, (long long)$1->dead_count,
                      (long long)$1->requeued_count);
%}

%typemap(out) const cfa_letter_view * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(LNNNLLNLLO)", (long long)$1->position, careforall_text($1->event_id),
                      careforall_text($1->event_type), careforall_text($1->subject),
                      (long long)$1->tries, (long long)$1->code, careforall_text($1->reason),
                      (long long)$1->first_us, (long long)$1->last_us,
                      $1->requeued ? Py_True : Py_False);
%}

%typemap(out) const cfa_act_view * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(LNNNNNNLNN)", (long long)$1->number, careforall_text($1->action),
                      careforall_text($1->subject), careforall_text($1->actor),
                      careforall_text($1->reason), careforall_text($1->before),
                      careforall_text($1->after), (long long)$1->created_us,
                      careforall_text($1->previous_hash), careforall_text($1->hash));
%}

%typemap(in, numinputs = 0) cfa_act_report *out (cfa_act_report made = CFA_ACT_REPORT_INIT) %{
  $1 = &made;
%}
%typemap(argout) cfa_act_report *out %{
  Py_DECREF($result);
  $result = Py_BuildValue("(LLOiLN)", (long long)$1->count, (long long)$1->head_count,
                          $1->head_agrees ? Py_True : Py_False, (int)$1->fault,
                          (long long)$1->number, careforall_text($1->head_hash));
%}

%typemap(out) const cfa_reconcile_difference * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(NNNNNNNNLO)", careforall_text($1->code), careforall_text($1->kind),
                      careforall_text($1->id), careforall_text($1->payment_id),
                      careforall_text($1->ref), careforall_text($1->field),
                      careforall_text($1->expected), careforall_text($1->found),
                      (long long)$1->line, $1->repairable ? Py_True : Py_False);
%}

%typemap(out) const cfa_totals_row * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(sLLLLLLLL)", $1->currency, (long long)$1->pledged_minor,
                      (long long)$1->authorized_minor, (long long)$1->raised_minor,
                      (long long)$1->refunded_minor, (long long)$1->disputed_minor,
                      (long long)$1->net_minor, (long long)$1->donation_count,
                      (long long)$1->donor_count);
%}

%typemap(out) const cfa_call * %{
  $result = $1 == NULL ? careforall_none()
      : Py_BuildValue("(iNNNNNNNONLLLiN)", (int)$1->kind, careforall_text($1->operation_id),
                      careforall_text($1->payment_id), careforall_text($1->idempotency_key),
                      careforall_text($1->account), careforall_text($1->ref),
                      careforall_money($1->amount), careforall_text($1->payment_method),
                      $1->capture_manual ? Py_True : Py_False, careforall_bytes($1->body),
                      (long long)$1->created_from_us, (long long)$1->created_until_us,
                      (long long)$1->now_us, (int)$1->timeout_ms, careforall_text($1->refund_id));
%}
