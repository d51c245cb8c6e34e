"""Start, supervise, warm up and stop the processes of the server; back up and restore what it stores."""
