# SPDX-License-Identifier: Apache-2.0
"""What the tests with real programs share: servers that are started, watched and stopped."""
