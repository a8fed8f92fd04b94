# SPDX-License-Identifier: Apache-2.0
"""Namespaces: their life, and each refusal with its own message."""

import unittest

from vdectl_case import FAILED, USAGE, VdectlCase


class Namespaces(VdectlCase):
    def test_life_of_a_namespace(self):
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")
        self.assertEqual(self.run_ok("namespace", "create", self.image, "shop", "--property", "owner=ann"), "")
        made = self.run_json("namespace-create", "namespace", "create", self.image, "shop.eu")
        self.assertEqual(made, {"namespace": "shop.eu", "created": True})
        self.assertEqual(self.run_ok("namespace", "list", self.image), "shop\n")
        self.assertEqual(self.run_ok("namespace", "list", self.image, "--recursive"), "shop\nshop.eu\n")
        below = self.run_json("namespace-list", "namespace", "list", self.image, "shop")
        self.assertEqual(below["namespaces"], ["shop.eu"])
        self.run_ok("namespace", "set", self.image, "shop", "note=a=b", "x=1")
        self.run_ok("namespace", "set", self.image, "shop", "--unset", "x")
        shown = self.run_json("namespace-show", "namespace", "show", self.image, "shop")
        self.assertEqual(shown["properties"], {"owner": "ann", "note": "a=b"})
        self.assertEqual((shown["namespaces"], shown["tables"]), (1, 0))
        out = self.run_ok("namespace", "show", self.image, "shop")
        self.assertRegex(out, r"(?m)^property: +owner=ann$")
        self.run_json("namespace-set", "namespace", "set", self.image, "shop", "x=2")
        self.run_json("namespace-drop", "namespace", "drop", self.image, "shop.eu")
        self.run_ok("namespace", "drop", self.image, "shop")
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")

    def test_refusals(self):
        self.run_ok("namespace", "create", self.image, "a")
        self.run_fails(FAILED, "NAMESPACE_EXISTS", "namespace", "create", self.image, "a", says="a")
        self.assertFalse(
            self.run_json("namespace-create", "namespace", "create", self.image, "a", "--if-not-exists")["created"]
        )
        self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", "create", self.image, "b.c", says="b")
        for verb in ("show", "drop"):
            self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", verb, self.image, "zz", says="zz")
        self.assertFalse(
            self.run_json("namespace-drop", "namespace", "drop", self.image, "zz", "--if-exists")["dropped"]
        )
        self.run_ok("namespace", "create", self.image, "a.b")
        self.run_fails(FAILED, "NAMESPACE_NOT_EMPTY", "namespace", "drop", self.image, "a", says="a")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", says="KEY=VALUE")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", "novalue", says="novalue")
        self.run_fails(USAGE, "USAGE", "namespace", "set", self.image, "a", "=x", says="=x")
        self.run_fails(FAILED, "NAMESPACE_NOT_FOUND", "namespace", "list", self.image, "zz", says="zz")

    def test_hostile_names(self):
        for name in (
            "_x",
            "..",
            "a..b",
            "a/b",
            "a\nb",
            "x" * 256,
            "a@b",
            b"\xff\xfe".decode("utf-8", "surrogateescape"),
        ):
            error = self.run_fails(FAILED, "NAME", "namespace", "create", self.image, name)
            self.assertFalse(error["retryable"])
        self.assertEqual(self.run_ok("namespace", "list", self.image), "")


if __name__ == "__main__":
    unittest.main()
