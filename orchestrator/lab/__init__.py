"""A local estate to try blueprints on: sandboxed machines and a real Kubernetes control plane on loopback."""
