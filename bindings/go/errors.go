package careforall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"careforall.org/go/internal/native"
)

// Class says what to do about an error. Classes are errors themselves, for errors.Is.
type Class int32

const (
	ErrInvalid   Class = 1 // fix the call
	ErrPermanent Class = 2 // tell the user
	ErrConflict  Class = 3 // re-read, then decide
	ErrTransient Class = 4 // retry: it certainly did not happen
	ErrInDoubt   Class = 5 // it may have happened: repeat with the same key, or ask
	ErrInternal  Class = 6 // report it
)

func (c Class) Error() string {
	switch c {
	case ErrInvalid:
		return "invalid"
	case ErrPermanent:
		return "permanent"
	case ErrConflict:
		return "conflict"
	case ErrTransient:
		return "transient"
	case ErrInDoubt:
		return "in doubt"
	}
	return "internal"
}

// Status is a precise code, an error itself for errors.Is. Error returns its symbol, such as "CFA_EKEYREUSE".
type Status int32

const (
	EINVAL       Status = -101
	ERANGE       Status = -102
	ECURRENCY    Status = -103
	EAMOUNT      Status = -104
	ENOTSUP      Status = -105
	EABI         Status = -106
	EMISUSE      Status = -107
	ETOOLONG     Status = -108
	EENCODING    Status = -109
	ECARD        Status = -110
	EKEY         Status = -111
	ENOTFOUND    Status = -201
	EDECLINED    Status = -202
	ECLOSED      Status = -203
	ESIGNATURE   Status = -204
	ESCHEMA      Status = -205
	EREADONLY    Status = -206
	EMODE        Status = -207
	EREFUSED     Status = -208
	EEXISTS      Status = -301
	EKEYREUSE    Status = -302
	ESTATE       Status = -303
	EVERSION     Status = -304
	EFENCED      Status = -305
	EBUSY        Status = -401
	EIO          Status = -402
	ETIMEOUT     Status = -403
	EUNAVAILABLE Status = -404
	EQUEUE       Status = -405
	ENOSPACE     Status = -406
	ECLOSING     Status = -407
	ECIRCUIT     Status = -408
	EINDOUBT     Status = -501
	ENOMEM       Status = -601
	ECORRUPT     Status = -602
	EBUG         Status = -603
)

func (s Status) Error() string { return native.Status_name(int32(s)) }

// Class returns what to do about the status.
func (s Status) Class() Class { return Class(native.Status_class_of(int32(s))) }

// Error is a call that failed. It never holds a secret or personal data.
type Error struct {
	Status     Status
	NativeCode int           // the database's or system's own code, 0 if none
	Origin     string        // "core.pledge", "storage.sqlite", ...
	Field      string        // the input field at fault, "" if none
	Message    string        // one line: what is wrong and the rule it breaks
	Key        string        // of a command: the idempotency key it ran under, also when the call drew it
	RetryAfter time.Duration // when to try again at the earliest, such as after ECIRCUIT; 0: unspecified
}

func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s (%s): %s", e.Status.Error(), e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Status.Error(), e.Message)
}

// Class returns what to do about the error.
func (e *Error) Class() Class { return e.Status.Class() }

// Is makes errors.Is match the error's class, its status, and context.DeadlineExceeded for ETIMEOUT.
func (e *Error) Is(target error) bool {
	switch wanted := target.(type) {
	case Class:
		return e.Class() == wanted
	case Status:
		return e.Status == wanted
	}
	return e.Status == ETIMEOUT && target == context.DeadlineExceeded
}

func retryable(err error) bool { return errors.Is(err, ErrTransient) || errors.Is(err, ErrInDoubt) }

// wrap turns what the native layer returned into an *Error; nil stays nil.
func wrap(err error) error { return wrapKey(err, "") }

func wrapKey(err error, key string) error {
	failure, ok := err.(*native.Failure)
	if !ok {
		return err
	}
	made := &Error{Status: Status(failure.Status), NativeCode: int(failure.NativeCode), Origin: failure.Origin,
		Field: failure.Field, Message: failure.Message, Key: key,
		RetryAfter: time.Duration(failure.RetryAfterMs) * time.Millisecond}
	if made.Message == "" {
		made.Message = native.Status_text(failure.Status)
	}
	return made
}

// failed is a rule that is checked before the library is called.
func failed(status Status, field, message string) error {
	return &Error{Status: status, Origin: "go", Field: field, Message: message}
}
