"""Results of OGC's executable test suites are read as they are written by TestNG."""

from __future__ import annotations

from pathlib import Path

from official_suites import unexpected, verdicts

RESULTS = """<?xml version="1.0" encoding="UTF-8"?>
<testng-results skipped="1" failed="2" total="4" passed="1">
  <suite name="features"><test name="Core"><class name="org.opengis.cite.x.landing.LandingPage">
    <test-method status="PASS" name="retrieve" is-config="true"/>
    <test-method status="PASS" name="landingPageRetrieval"/>
    <test-method status="FAIL" name="links"><exception class="java.lang.AssertionError">
      <message><![CDATA[expected [true]
        but found [false]]]></message></exception></test-method>
  </class><class name="org.opengis.cite.x.crs.Query">
    <test-method status="FAIL" name="links"><exception class="java.lang.NullPointerException"/></test-method>
    <test-method status="SKIP" name="bbox"/>
  </class></test></suite></testng-results>"""


def test_each_test_has_its_class_status_and_message(tmp_path: Path) -> None:
    path = tmp_path / "testng-results.xml"
    path.write_text(RESULTS, "utf-8")
    found = verdicts(path)
    assert [(one.test, one.status) for one in found] == [
        ("LandingPage.landingPageRetrieval", "PASS"),
        ("LandingPage.links", "FAIL"),
        ("Query.links", "FAIL"),
        ("Query.bbox", "SKIP"),
    ]
    assert found[1].message == "expected [true] but found [false]"
    assert [one.test for one in unexpected(found, {"Query.links": "the suite's own fault"})] == [
        "LandingPage.links"
    ]
