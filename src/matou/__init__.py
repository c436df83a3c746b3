"""Matou: a self-hosted container registry with projects, permissions and administration."""
