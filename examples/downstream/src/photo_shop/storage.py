"""Where the shop keeps its photographs."""

import resilient_store as rs


def open_photos() -> rs.ResilientFileSystem:
    """Originals lie on two platforms, previews on three: they are small."""
    return rs.ResilientFileSystem(
        [
            rs.Backend("s3://shop-photos", name="aws", domain="aws/us-east-1"),
            rs.Backend("gs://shop-photos", name="gcp", domain="gcp/europe-west1"),
            rs.Backend("abfs://shop-photos", name="azure", domain="azure/westeurope"),
        ],
        catalog="sqlite:///photos.db",
        write=rs.WriteToAll(min_copies=1),
        placements=[rs.Placement("originals/{name}", backends=["aws", "gcp"])],
        degraded=rs.DegradedRead({"originals/{name}": ["previews/{name}"]}),
    )
