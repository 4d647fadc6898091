"""placeholder"""
PACKAGE_ROOT = "{http://www.opengis.net/wfs}FeatureCollection"
def answer_of(intake, owner_cvr): raise NotImplementedError
