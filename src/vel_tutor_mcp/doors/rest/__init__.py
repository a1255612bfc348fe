"""The REST door: `/api/...`, for programs and dashboards. Routes call the services that tools call."""
