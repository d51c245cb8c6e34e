"""See the service work: start it, use it over HTTP as a client would, show what came back."""
