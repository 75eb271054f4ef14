module nextclick-client

go 1.25.0
