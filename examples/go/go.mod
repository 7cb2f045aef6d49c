module careforall.org/go/examples

go 1.19

require careforall.org/go v0.1.0

replace careforall.org/go => ../../bindings/go
