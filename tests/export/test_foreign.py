"""What sizes of an input can mean, for any window and any number of channels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.export.foreign import LAYOUTS, ModelEnds
from edgeconv.runtime import InputError, UsageError

SIZE = st.integers(1, 300)
LAYOUT = st.sampled_from(LAYOUTS)


def ends(window, channels, layout):
    sizes = (window, channels) if layout == LAYOUTS[0] else (channels, window)
    return ModelEnds("signal", sizes, 4, LAYOUTS)


@given(window=SIZE, channels=SIZE, layout=LAYOUT, said=st.booleans())
def test_the_layout_is_found_from_the_channels_unless_both_orders_fit(window, channels, layout, said):
    found = ends(window, channels, layout)
    if window == channels:
        with pytest.raises(UsageError, match="say which with --layout"):
            found.layout(channels, window if said else None)
    else:
        assert found.layout(channels, window if said else None) == layout
        assert found.length(layout) == window
    assert found.layout(channels, window, layout) == layout


@given(window=SIZE, channels=SIZE, layout=LAYOUT, other=SIZE)
def test_other_channels_than_either_size_are_refused(window, channels, layout, other):
    found = ends(window, channels, layout)
    if other in (window, channels):
        return
    with pytest.raises(InputError, match=f"the spec says {other} channels"):
        found.layout(other, None)


@given(window=SIZE, channels=SIZE, layout=LAYOUT)
def test_a_window_that_is_left_open_is_what_the_spec_says(window, channels, layout):
    found = ends(None, channels, layout)
    if window == channels:
        with pytest.raises(UsageError):
            found.layout(channels, window)
    else:
        assert found.layout(channels, window) == layout
        assert found.length(layout) is None
