"""The four shapes of a page.

`VisibleListView`, `VisibleDetailView` read: they begin at a selector, so that what the actor may not see is
not there. `ServiceFormView`, `ServiceActionView` write: they hand the input to one service and translate its
answer.

One view serves the page and its parts. A template names its parts with `{% partialdef table inline %}` (from
`{% load partials %}`, the package that became part of Django 6); when HTMX asks for the element `#table` and
the view lists "table" among its `fragments`, only that part is rendered — by the same view, selector and
checks.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.forms import BaseForm, BoundField
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.generic import FormView, TemplateView, View

from apps.core.errors import DomainError
from apps.core.filters import ApiFilterSet
from apps.core.web.errors import sentence, shown_in_form
from apps.core.web.http import came_from, go_to, is_htmx, toast, wants_fragment


class ActorMixin:
    """`self.actor`: the signed-in person, as services and selectors want it."""

    request: HttpRequest

    @property
    def actor(self) -> Any:
        """An `accounts.User` (which the kernel does not know by type); never anonymous, because
        LoginRequiredMiddleware stands before every page."""
        return self.request.user


class FragmentMixin(ActorMixin):
    """Renders `template.html#part` when HTMX asks for one of `fragments`."""

    template_name: str | None = None
    fragments: ClassVar[tuple[str, ...]] = ()

    def get_template_names(self) -> list[str]:
        """The page, or the one part that was asked for (the id of the element that HTMX replaces)."""
        if not self.template_name:
            raise ImproperlyConfigured(f"{type(self).__name__} needs template_name")
        target = self.request.headers.get("HX-Target", "")
        if wants_fragment(self.request) and target in self.fragments:
            return [f"{self.template_name}#{target}"]
        return [self.template_name]


class VisibleListView(FragmentMixin, TemplateView):
    """A list: what the actor may see, narrowed by the filter set, sorted, paged; all of it in the address.

    Give `selector` (or override `get_visible`), `filterset_class` and `template_name`. The template gets
    `page_obj`, `object_list`, `filter_form`, `filter_fields`, `filtered` (whether any filter is set), `order` and
    `total` (how many match).
    """

    selector: ClassVar[Any] = None  # Callable[[actor], QuerySet]; wrapped in staticmethod
    filterset_class: ClassVar[type[ApiFilterSet] | None] = None
    fragments: ClassVar[tuple[str, ...]] = ("table",)
    default_order: ClassVar[str] = ""
    # Filters on the page, in this order; empty: all. Others still work in the address, and show once they are set.
    shown_filters: ClassVar[tuple[str, ...]] = ()
    page_size: ClassVar[int] = 25

    def get_visible(self) -> QuerySet[Any]:
        """Everything that the actor may see, newest first, with what the rows need already joined."""
        selector = type(self).selector
        if selector is None:
            raise ImproperlyConfigured(f"{type(self).__name__} needs selector or get_visible()")
        return selector(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The page of rows and the filter form."""
        context = super().get_context_data(**kwargs)
        queryset = self.get_visible()
        filter_form: BaseForm | None = None
        filtered = False
        if self.filterset_class is not None:
            known = set(self.filterset_class.base_filters)
            data = {key: value for key, value in self.request.GET.items() if key in known and value != ""}
            filterset = self.filterset_class(data=data or None, queryset=queryset, request=self.request)
            filter_form = filterset.form
            filtered = bool(data)
            # A filter that cannot be read shows nothing rather than everything; the form says why.
            queryset = filterset.qs if not data or filterset.is_valid() else queryset.none()
        order = self.request.GET.get("order", "") or self.default_order
        page = self.paginate(self.sort(queryset, order))
        context |= {
            "page_obj": page,
            "object_list": page.object_list,
            "filter_form": filter_form,
            "filter_fields": self.filter_fields(filter_form),
            "filtered": filtered,
            "order": order,
            "total": page.paginator.count,
        }
        return context

    def filter_fields(self, form: BaseForm | None) -> list[BoundField]:
        """The fields of the filter bar."""
        if form is None:
            return []
        shown = [name for name in self.shown_filters if name in form.fields] or list(form.fields)
        return [
            form[name]
            for name in [*shown, *(name for name in form.fields if name not in shown and form.data.get(name))]
        ]

    def sort(self, queryset: QuerySet[Any], order: str) -> QuerySet[Any]:
        """Order by one of the filter set's ORDERING keys ("-" in front: descending); others are ignored."""
        ordering: dict[str, str] = getattr(self.filterset_class, "ORDERING", {})
        column = ordering.get(order.removeprefix("-"))
        if column is None:
            return queryset
        descending = order.startswith("-")
        # The key decides between equal rows, so that pages never overlap.
        return queryset.order_by(f"-{column}" if descending else column, "pk")

    def paginate(self, queryset: QuerySet[Any]) -> Page[Any]:
        """The asked page; a page number out of range gives the nearest one."""
        return Paginator(queryset, self.page_size).get_page(self.request.GET.get("page"))


class VisibleDetailView(FragmentMixin, TemplateView):
    """One thing. Override `get_object` with the selector (`dataset_get(actor=…, dataset_id=…)`): it raises
    NotFound for what the actor may not see. The template gets `object` and `context_object_name`."""

    context_object_name: ClassVar[str] = ""

    def get_object(self) -> Any:
        """The thing, through a selector."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs get_object()")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Render the page or the asked part."""
        self.object = self.get_object()
        return self.render_to_response(self.get_context_data(**kwargs))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds the object."""
        context = super().get_context_data(**kwargs)
        context["object"] = self.object
        if self.context_object_name:
            context[self.context_object_name] = self.object
        return context


class ServiceFormView(FragmentMixin, FormView):
    """A form whose input goes to one service.

    Override `perform(form)`: call the service, return its result. A `DomainError` that a person can mend is
    shown in the form (422, input kept): `errors` land at the fields of the same name (`field_names` maps
    others, camelCase is understood), the rest above the form. NotFound and PermissionRefused go on to the
    error middleware.
    """

    fragments: ClassVar[tuple[str, ...]] = ("form",)
    field_names: ClassVar[dict[str, str]] = {}
    success_message: str = ""
    success_url: str = ""

    result: Any = None

    def perform(self, form: Any) -> Any:
        """Call the service with form.cleaned_data."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs perform()")

    def get_success_url(self) -> str:
        """Where to go; `self.result` is what the service returned."""
        if self.success_url:
            return str(self.success_url)
        if self.result is not None and hasattr(self.result, "get_absolute_url"):
            return str(self.result.get_absolute_url())
        raise ImproperlyConfigured(f"{type(self).__name__} needs get_success_url()")

    def get_success_message(self) -> str:
        """Said by a toast on the next page."""
        return self.success_message

    def form_valid(self, form: Any) -> HttpResponse:
        """Perform, then go on; or show what the service refused."""
        try:
            self.result = self.perform(form)
        except DomainError as error:
            if not shown_in_form(error):
                raise
            self.add_errors(form, error)
            return self.form_invalid(form)
        return self.succeeded(form)

    def succeeded(self, form: Any) -> HttpResponse:
        """What follows success: by default a redirect with a toast."""
        return go_to(self.request, self.get_success_url(), self.get_success_message())

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, input kept."""
        return self.render_to_response(self.get_context_data(form=form), status=422)

    def add_errors(self, form: BaseForm, error: DomainError) -> None:
        """Put each named error at its field and the rest above the form, the error's own sentence first."""
        elsewhere: list[str] = []
        for item in error.errors:
            name = self.field_names.get(item.field) or _snake(item.field)
            # "metadata.purpose" and "files[0]" belong to the field in front.
            head = name.split(".")[0].split("[")[0]
            target = next((candidate for candidate in (name, head) if candidate in form.fields), None)
            if target is not None:
                form.add_error(target, item.message)
            elif item.message not in str(error):
                elsewhere.append(item.message)
        if elsewhere or not form.errors:
            form.add_error(None, [str(error), *elsewhere])


class ServiceActionView(ActorMixin, View):
    """A button: POST → one service → back, with a toast. Override `perform()`; `success_url` defaults to
    where the button was. What the service refuses becomes a toast, on HTMX with the error's status and
    nothing swapped."""

    http_method_names = ["post", "options"]
    success_message: str = ""
    failure_url: str = "/"
    result: Any = None

    def perform(self) -> Any:
        """Call the service (self.kwargs, self.request.POST)."""
        raise ImproperlyConfigured(f"{type(self).__name__} needs perform()")

    def get_success_url(self) -> str:
        """Where to go afterwards; by default the page with the button."""
        return came_from(self.request, self.failure_url)

    def get_success_message(self) -> str:
        """Said by a toast."""
        return self.success_message

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Perform and go on."""
        try:
            self.result = self.perform()
        except DomainError as error:
            if not shown_in_form(error):
                raise
            if is_htmx(request):
                return toast(HttpResponse(status=error.status_code), sentence(error), "danger")
            return go_to(request, came_from(request, self.failure_url), sentence(error), "danger")
        return go_to(request, self.get_success_url(), self.get_success_message())


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
