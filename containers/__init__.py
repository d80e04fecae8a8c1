"""The composition root: the only package that imports dependency_injector."""
