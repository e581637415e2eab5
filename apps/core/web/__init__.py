"""Kernel of the pages: list, detail, form and action views, fragments, errors, statuses, icons.

A page is a class-based view that never decides: it asks a selector what the actor may see, a service to do
things, and translates a `DomainError` into field errors, a toast or an error page. Guide with examples:
templates/README.md.

    from apps.core.web.views import ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
"""
