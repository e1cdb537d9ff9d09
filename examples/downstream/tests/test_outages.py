"""The shop on the day on which a platform is lost."""

import pytest

from photo_shop import gallery, orders


@pytest.fixture
def photos(resilient_store):
    resilient_store.write("originals/cat.jpg", b"the whole cat")
    resilient_store.write("previews/cat.jpg", b"a small cat")
    return resilient_store


@pytest.mark.outage
def test_orders_go_on(photos):
    assert orders.to_print(photos, "cat.jpg") == b"the whole cat"
    photos.write("originals/dog.jpg", b"the whole dog")


@pytest.mark.outage(lose=["aws", "gcp"])
def test_the_gallery_shows_previews(photos):
    assert gallery.page(photos, "cat.jpg") == (b"a small cat", "a preview")
