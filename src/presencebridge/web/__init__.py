"""What is served over HTTP: the webhook for Graph, and the operator's page, API, health and metrics."""
