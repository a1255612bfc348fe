"""What Prometheus is told: requests that are counted here, and what `services.measuring` looks up."""
