"""The shop's own configuration, and its own rule: nothing but originals is printed."""

import contextlib

from hypothesis import settings, stateful

import resilient_store as rs
from photo_shop import orders
from photo_shop.storage import open_photos
from resilient_store.testing import ResilienceStateMachine


class PhotoShop(ResilienceStateMachine):
    def build(self):
        return open_photos()

    def beginnings(self):
        return [self.paths()]  # an original and its preview are always there

    @stateful.invariant()
    def only_originals_are_printed(self):
        """Print an order, after everything that happens: it never contains a preview."""
        with contextlib.suppress(FileNotFoundError, rs.ObjectError):
            printed = orders.to_print(self.fs, "a.jpg")
            self.ledger.note('orders.to_print(fs, "a.jpg")', printed)
            assert printed in self.ledger.held("originals/a.jpg")


PhotoShop.TestCase.settings = settings(
    PhotoShop.TestCase.settings, max_examples=60, stateful_step_count=12
)
TestPhotoShop = PhotoShop.TestCase
