module careforall.example/sandbox_sdk

go 1.23

require github.com/stripe/stripe-go/v83 v83.2.1
