"""Asking hosts: the process that speaks to them, over Ansible's connection plugins or directly over SSH."""
