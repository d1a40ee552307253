# SPDX-License-Identifier: Apache-2.0
"""The comparison of bench/run: servers, cases, and the table of what came out."""
