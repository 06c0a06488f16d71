"""What agents talk to: HTTPS, JSON, under `/v1`. Joining is in `join`."""
