"""A whole design in the syntax of the framework that it was asked for."""

from kedge.design import DesignReport
from kedge.interop.pyramid_snippets import pyramid_snippet
from kedge.interop.snippets import snippet


def design_snippet(report: DesignReport) -> str:
    """Code or configuration for ``report.settings.framework``.

    Errors: ``ValueError`` where its heads cannot have these shapes.
    """
    settings, found = report.settings, report.design.pyramid
    if found is None:
        return snippet(
            settings.framework, report.levels, settings.image_size, offset=settings.offset
        )
    return pyramid_snippet(
        settings.framework,
        sorted(settings.levels),
        found.sizes,
        found.scales,
        found.h_over_w,
        settings.image_size,
        settings.offset,
    )
