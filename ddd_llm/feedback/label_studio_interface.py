"""Label Studio's labelling interface for a guideline, under the names that `label_studio` reads.

Belongs here: that configuration alone. Does not: tasks and their annotations.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from ddd_llm.feedback.guidelines import Guideline


def interface(guideline: Guideline) -> str:
    """Label Studio's labelling configuration (XML) for a guideline: paste it into the project's settings."""
    schema = guideline.label_schema
    head = ['<Text name="prompt" value="$prompt"/>', '<Text name="passage" value="$passage"/>']
    if schema.kind == "choice":
        choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in schema.choices)
        body = [
            '<Text name="response" value="$response"/>',
            f'<Choices name="choice" toName="response">{choices}</Choices>',
        ]
    elif schema.kind == "preference":
        choices = "".join(f'<Choice value="{name}"/>' for name in ("left", "right", "tie"))
        body = [
            '<Text name="left" value="$left"/>',
            '<Text name="right" value="$right"/>',
            f'<Choices name="preferred" toName="left">{choices}</Choices>',
        ]
        for rubric in schema.rubrics:
            for side in ("left", "right"):
                body.append(f"<Header value={quoteattr(f'{rubric}, {side}')}/>")
                body.append(f'<Rating name={quoteattr(f"{rubric}-{side}")} toName="{side}" maxRating="5"/>')
    else:
        errors = "".join(f"<Label value={quoteattr(name)}/>" for name in schema.error_types)
        absent = "".join(f"<Label value={quoteattr(name)}/>" for name in schema.missing_types)
        body = [
            '<Text name="response" value="$response"/>',
            f'<Labels name="error" toName="response">{errors}</Labels>',
            f'<Labels name="missing" toName="passage">{absent}</Labels>' if absent else "",
            '<TextArea name="note" toName="response" perRegion="true" maxSubmissions="1"/>',
            '<TextArea name="missing-text" toName="passage" perRegion="true" maxSubmissions="1"/>',
            *(f'<TextArea name={quoteattr(f"missing-{name}")} toName="response"/>' for name in schema.missing_types),
            '<TextArea name="corrected" toName="response" maxSubmissions="1"/>',
        ]
    return "\n".join(["<View>", *(f"  {line}" for line in (*head, *body) if line), "</View>"]) + "\n"
