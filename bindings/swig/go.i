/*
 * go.i - the typemaps of careforall.i for Go.
 *
 * A status becomes an error whose text was copied inside the same C call, so goroutines may change
 * threads as they like. Handles are typed C pointers; outputs are pointers that the typed layer
 * passes. The Go types named here are written by hand in ../go/internal/native/types.go.
 */

%define %blocking(name)
%enddef

%insert(cgo_comment_typedefs) %{
#include <careforall/careforall.h>
#include <careforall/adapters/play.h>
%}

%go_import("strings")

%fragment("careforall_failure", "header", fragment = "AllocateString") %{
#include <stdio.h>

/* "status NUL native NUL retry NUL origin NUL field NUL message", in memory that Go frees. */
static _gostring_ careforall_failure(cfa_status status)
{
    _gostring_ none = { NULL, 0 };
    if (status == CFA_OK)
        return none;
    cfa_error error = CFA_ERROR_INIT;
    if (cfa_error_last(&error) != CFA_OK || error.status != status) {
        memset(&error, 0, sizeof error);
        error.status = status;
    }
    char text[sizeof error + 64];
    const int size = snprintf(text, sizeof text, "%d%c%d%c%lld%c%s%c%s%c%s", (int)status, 0,
                              (int)error.native_code, 0, (long long)error.retry_after_ms, 0,
                              error.origin, 0, error.field, 0, error.message);
    return Swig_AllocateString(text, (size_t)size);
}
%}

%{
/* Text for C, NULL for none. */
static char *careforall_text(_gostring_ text)
{
    if (text.n == 0)
        return NULL;
    char *copy = (char *)malloc((size_t)text.n + 1);
    if (copy == NULL)
        _swig_gopanic("out of memory");
    for (intgo i = 0; i < text.n; i++)
        copy[i] = text.p[i] == '\0' ? '\1' : text.p[i];
    copy[text.n] = '\0';
    return copy;
}
%}

/* ---- status --------------------------------------------------------------------------------- */

%typemap(gotype) cfa_status "error"
%typemap(imtype) cfa_status "string"
%typemap(out, fragment = "careforall_failure") cfa_status %{ $result = careforall_failure($1); %}
%typemap(goout, fragment = "CopyString") cfa_status %{
	if $1 != "" {
		$result = failure(swigCopyString($1))
	}
%}

/* status_name and its kin take the number. */
%typemap(gotype) cfa_status status "int32"
%typemap(imtype) cfa_status status "int32"
%typemap(in) cfa_status status %{ $1 = (cfa_status)$input; %}
%typemap(goin) cfa_status status ""

/* ---- text, bytes, money --------------------------------------------------------------------- */

%typemap(in) const char * %{ $1 = careforall_text($input); %}
%typemap(freearg) const char * %{ free((void *)$1); %}

/* Text out is borrowed from its object for as long as it takes to copy it once. */
%typemap(out) const char * %{
  $result.p = (char *)$1;
  $result.n = $1 == NULL ? 0 : (intgo)strlen($1);
%}
%typemap(goout) const char * %{ $result = strings.Clone($1) %}

%typemap(gotype) char ** "*Text"

%typemap(gotype) cfa_slice "[]byte"
%typemap(in) cfa_slice %{ $1.data = $input.array; $1.size = (size_t)$input.len; %}
%typemap(gotype) cfa_slice cfa_pledge_answer "string"
%typemap(imtype) cfa_slice cfa_pledge_answer "string"
%typemap(out) cfa_slice cfa_pledge_answer %{
  $result.p = (char *)$1.data;
  $result.n = (intgo)$1.size;
%}
%typemap(goout) cfa_slice cfa_pledge_answer %{ $result = strings.Clone($1) %}

%typemap(gotype) cfa_money "Money"
%typemap(gotype) cfa_money * "*Money"
%typemap(in) cfa_money %{ $1 = $input; %}
%typemap(out) cfa_money %{ $result = $1; %}

/* ---- numbers -------------------------------------------------------------------------------- */

%typemap(gotype) int32_t "int32"
%typemap(gotype) uint32_t "uint32"
%typemap(gotype) int64_t "int64"
%typemap(gotype) uint64_t "uint64"
%typemap(gotype) size_t "int64"
%typemap(gotype) int32_t * "*int32"
%typemap(gotype) int64_t * "*int64"

/* A provider's record of another package: ../go/stripe has the function and what it is called with. */
%rename(source_new) shim_source_new;
%rename(source_free) shim_source_free;
%typemap(gotype) cfa_reconcile_next, void *self "unsafe.Pointer"
%typemap(in) cfa_reconcile_next %{ $1 = (cfa_reconcile_next)$input; %}

/* ---- handles and views ---------------------------------------------------------------------- */

%define %handle(type, name)
%typemap(gotype) type *, const type * "name"
%typemap(gotype) type ** "*name"
%enddef

%handle(cfa_storage, Storage)
%handle(cfa_engine, Engine)
%handle(cfa_provider, Provider)
%handle(cfa_play, Play)
%handle(cfa_campaign, Campaign)
%handle(cfa_campaign_list, CampaignList)
%handle(cfa_pledge, Pledge)
%handle(cfa_pledge_list, PledgeList)
%handle(cfa_payment, Payment)
%handle(cfa_refund, Refund)
%handle(cfa_refund_list, RefundList)
%handle(cfa_dispute, Dispute)
%handle(cfa_dispute_list, DisputeList)
%handle(cfa_transition_list, TransitionList)
%handle(cfa_totals, Totals)
%handle(cfa_event_list, EventList)
%handle(cfa_cursor_list, CursorList)
%handle(cfa_letter_list, LetterList)
%handle(cfa_act_list, ActList)
%handle(cfa_audit, Audit)
%handle(cfa_story, Story)
%handle(cfa_checkup, Checkup)
%handle(cfa_reconciliation, Reconciliation)
%handle(cfa_subscription, Subscription)
%handle(cfa_pulled_call, PulledCall)
%handle(shim_facts, Facts)
%handle(shim_source, Source)
%handle(shim_record, Record)
%handle(shim_stop, Stop)
%handle(cfa_money_rules, Rules)

%typemap(gotype) const cfa_event_view * "EventView"
%typemap(gotype) const cfa_cursor_view * "CursorView"
%typemap(gotype) const cfa_letter_view * "LetterView"
%typemap(gotype) const cfa_act_view * "ActView"
%typemap(gotype) cfa_act_report * "*ActReport"
%typemap(gotype) const cfa_call * "CallView"
%typemap(gotype) const cfa_reconcile_difference * "DifferenceView"
%typemap(gotype) const cfa_totals_row * "TotalsRow"
