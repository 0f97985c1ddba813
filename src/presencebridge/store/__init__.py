"""Where state and live claims outlast the process. No history is kept here, by design."""
