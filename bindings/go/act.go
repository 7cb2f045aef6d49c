package careforall

// Actor says who asks for an administrative act and why, for the audit log, which is never erased: name an account, not a
// person. The zero value says nothing of either.
type Actor struct {
	Actor  string
	Reason string
}
