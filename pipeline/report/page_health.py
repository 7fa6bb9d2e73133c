"""The part of the HTML report's template that shows a training from inside; it uses the macros of `page`."""

from __future__ import annotations

__all__ = ["HEALTH"]

HEALTH = """
{% for health in view.health %}
<h3{% if loop.first %} id="health"{% endif %}>Inside the training{{ " of " ~ health.training if loop.length > 1 }}</h3>
<p class="soft">{{ health.looked }}.</p>
{% if health.obstacles %}
<ul>
{% for obstacle in health.obstacles %}
<li>{{ tag(obstacle.what, obstacle.tone) }} {{ obstacle.text.partition(": ")[2] }}
{%- if obstacle.where != "all" %} <span class="soft">({{ obstacle.where }})</span>{% endif %}</li>
{% endfor %}
</ul>
{% else %}
<p>{{ tag("nothing found", "good") }} that hinders learning.</p>
{% endif %}
{% if health.training == "train" %}<div class="charts">{{ chart("gradients") }}{{ chart("idle") }}</div>{% endif %}
<details><summary>layers and gradients, from the first look to the last</summary>
{% call table("Activity of layers", true) %}
{{ head(activity_header) }}
<tbody>
{% for row in health.activity %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td class="figure">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>{% endcall %}
{% call table("Gradients of parameters", true) %}
{{ head(gradient_header, right=["values"]) }}
<tbody>
{% for row in health.gradients %}
<tr><th scope="row">{{ row[0] }}</th><td class="number">{{ row[1] }}</td>
{% for cell in row[2:] %}<td class="figure">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>{% endcall %}
</details>
{% endfor %}
"""
