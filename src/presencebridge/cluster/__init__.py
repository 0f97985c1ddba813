"""Several nodes that share the sites among them, on an existing engine. Opt-in: nothing else imports this.

`engine` is what is asked of an engine, `nats_engine` has it from NATS JetStream. `session` is a node's lease,
`ownership` which site is whose, `store`, `files` and `notices` are what follows a site from node to node.
`spreading` and `records` are pure.
"""
