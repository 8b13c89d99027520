"""The bundle of the service's tests, and BentoML's stores of this session alone."""

from tests.serving.conftest import another_bundle_folder, bento_home, bento_tag, bundle, bundle_folder, parts

__all__ = ["another_bundle_folder", "bento_home", "bento_tag", "bundle", "bundle_folder", "parts"]
