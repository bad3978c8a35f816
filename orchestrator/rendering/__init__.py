"""Kustomizations made into YAML by the real program; nothing is installed by it.

renderer.py   requests answered from the cache, or by the program
kustomize.py  `kubectl kustomize`
cache.py      what was rendered, by a digest of everything that went in
programs.py   running a program without anything of ours around it
"""

from __future__ import annotations

from orchestrator.rendering.renderer import ProgramRenderer

__all__ = ["ProgramRenderer"]
