"""The page of a run (report.html): what failed, what was found, each face with its picture and numbers."""

from jaxclnf.output.report.page import page_template
from jaxclnf.output.report.photo_page import report_photos
from jaxclnf.output.report.video_page import report_videos

__all__ = ["page_template", "report_photos", "report_videos"]
