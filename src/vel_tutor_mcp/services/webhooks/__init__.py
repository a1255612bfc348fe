"""Addresses of users that are told of events: `outbox` notes what is to be told, in the transaction of the change;
`sending` sends it; `hooks` is the service.
"""
