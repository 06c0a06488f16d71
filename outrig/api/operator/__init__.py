"""Questions of operators that no kind of Kubernetes answers, under /outrig/v1 of the API."""
