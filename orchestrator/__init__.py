"""orchestrator: one plan and one apply over machines (Ansible) and Kubernetes (Pulumi)."""

__version__ = "0.1.0"
