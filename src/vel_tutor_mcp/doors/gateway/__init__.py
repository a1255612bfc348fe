"""The gateway: `/v1/...` as OpenAI's clients speak it. Each request is a task like any other."""
