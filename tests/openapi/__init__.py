"""What a fuzzer that knows only the OpenAPI document (schemathesis) finds."""
