"""Agile mode: Kubernetes objects, observed by our own reading of the API, changed by Pulumi.

driver        the Driver of one site: what the other rooms use (with `site` and `passphrase`)
connection, api, discovery    reaching an API server and speaking with it
observing, compare, readiness what is there, and how it differs from what is declared
acting, namespaces, inventory, leases    changing one thing at a time, with the ownership checks
stack, program, provider, process        the same through Pulumi: engine, inline program, resource provider
"""
