"""The stable mode: machines and what runs inside them, configured by Ansible, observed by a probe of our own."""
