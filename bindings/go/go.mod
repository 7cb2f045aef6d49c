module careforall.org/go

go 1.19
