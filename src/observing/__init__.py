"""What an operator sees: ids of requests and jobs, log lines, meters and spans."""
