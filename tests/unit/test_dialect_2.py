"""What SSCMA 2.x says, byte for byte: each test of a difference from 1.x names what its sources do."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_talk import BOXES, FIRMWARES, POSE, Desk, Toy, desk_of, messages, reply_2

from edgewright.boards.virtual.wire import Reset

SECOND, GROVE = "esp32s3-sscma-2.x", "grove-vision-ai-v2-sscma-2.x"
CAMERA = (
    b'{"sensors":[{"id":0,"type":"Camera","initialized":true,"current_preset":{"id":1,"description":"240x240 Small"}}]'
)
MODEL_2 = b'{"id":1,"type":0,"size":0,"name":1010827264,"address":1010827264}'


@pytest.fixture
def second(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, SECOND)


@pytest.fixture
def grove(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, GROVE)


def test_2x_says_what_it_set_up_and_not_that_it_is_ready(second: Desk) -> None:
    assert second.talk(booting=True) == (
        reply_2("INIT@SENSOR", CAMERA + b"}")
        + reply_2("INIT@MODEL", b'{"model":' + MODEL_2 + b"}")
        + reply_2("INIT@ALGORITHM", b'{"algorithm":0}')
        + reply_2("INIT@TRIGGER", b'{"trigger_rules":""}')
    )


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ("VER?", b'{"at_api":"v0","software":"2024.11.25","hardware":"XIAO(ESP32S3)"}'),
        ("STAT?", b'{"boot_count":1,"is_ready":1}'),
        ("MODELS?", b'{"models":[' + MODEL_2 + b"]}"),
        ("MODEL?", b'{"models":[' + MODEL_2 + b"]}"),
        ("SENSOR?", CAMERA + b"}"),
        ("TSCORE?", b"25"),
        ("TIOU?", b"45"),
        ("INFO?", b'{"info":""}'),
        ("TRIGGER?", b'{"trigger_rules":""}'),
    ],
)
def test_2x_questions(second: Desk, command: str, data: bytes) -> None:
    assert second.talk(f"AT+{command}\r".encode()) == reply_2(command, data)


def test_2x_refuses_with_an_event_and_its_own_spelling(second: Desk) -> None:
    assert second.talk(b"AT+t@ALGOS?\r") == reply_2("AT", b'"Uknown command: T@ALGOS?"', 5, 1)
    assert second.talk(b"hello\r") == reply_2("AT", b'"Uknown command: HELLO"', 5, 1)
    assert second.talk(b"AT+INVOKE=1\r") == reply_2("AT", b'"Command INVOKE got wrong arguments"', 5, 1)


def test_2x_runs_a_detector(second: Desk) -> None:
    second.toy = Toy(8, "boxes", BOXES)
    started = (
        CAMERA
        + b',"models":['
        + MODEL_2
        + b'],"algorithm":{"type":8,"category":0,"input_from":1,"config":{"tscore":25,"tiou":44}}}'
    )
    event = b'{"count":1,"boxes":[[60,70,20,30,81,2]],"perf":[8,62,1],"rotation":0,"width":240,"height":240}'
    said = second.talk(b"AT+INVOKE=1,1\r", b"", b"")
    assert said == reply_2("INVOKE", started) + reply_2("INVOKE", event, kind=1)
    assert second.toy.asked == [(25, 45, False)]


def test_2x_never_sends_keypoints_and_takes_a_third_argument_for_nothing(second: Desk) -> None:
    (_, event) = messages(second.talk(b"AT+INVOKE=1,0,1\r", b"", b""))
    assert event["data"] == {
        "count": 1,
        "image": "/9j/",
        "perf": [8, 62, 1],
        "rotation": 0,
        "width": 240,
        "height": 240,
    }
    assert second.toy.results == POSE


def test_2x_starts_again_without_a_word_where_no_decoder_fits(second: Desk) -> None:
    second.toy.algorithm = 0
    with pytest.raises(Reset):
        second.talk(b"AT+INVOKE=1,1\r")
    assert b"INVOKE" not in second.wire.said


def test_2x_finds_no_decoder_for_a_model_whose_id_is_above_its_number(second: Desk) -> None:
    for at in range(1, 6):
        second.put(at * 0x1000)
    assert messages(second.talk(b"AT+MODEL=5\r", b"AT+INVOKE=0,1\r"))[-1]["data"]["algorithm"]["type"] == 5
    with pytest.raises(Reset):
        second.talk(b"AT+MODEL=6\r", b"AT+INVOKE=0,1\r")


def test_2x_says_which_model_it_does_not_take_and_which_is_not_there(second: Desk) -> None:
    second.toy.refused = b"\x1c"
    said = messages(second.talk(b"AT+MODEL=1\r", b"AT+MODEL=2\r", b"AT+INVOKE=1,1\r", b""))
    assert [one["code"] for one in said] == [2, 10, 2]
    assert said[2]["data"]["algorithm"]["type"] == 0


def test_2x_has_one_pair_of_limits_for_all_and_always(second: Desk) -> None:
    assert second.talk(b"AT+TSCORE=60\rAT+TIOU=0\r") == reply_2("TSCORE", b"60") + reply_2("TIOU", b"45", 5)
    second.talk(b"AT+INVOKE=1,1\r")
    assert second.toy.asked == [(60, 45, False)]


def test_2x_without_a_model(tmp_path: Path) -> None:
    said = messages(Desk(tmp_path, FIRMWARES[SECOND]).talk(b"AT+MODELS?\r", b"AT+MODEL?\r", b"AT+INVOKE=1,1\r"))
    assert [(one["code"], one["data"].get("models")) for one in said] == [
        (0, []),
        (10, None),
        (10, [{"id": 0, "type": 0, "size": 0, "name": 0, "address": 0}]),
    ]


def test_2x_takes_trigger_rules_and_refuses_what_is_none(second: Desk) -> None:
    said = messages(second.talk(b'AT+TRIGGER="0,1,50,1,0,1|1,1,50,2,0,1"\rAT+TRIGGER="red"\rAT+TRIGGER?\r'))
    assert [one["code"] for one in said] == [0, 5, 0]
    assert said[2]["data"]["trigger_rules"] == "0,1,50,1,0,1|1,1,50,2,0,1"


def test_2x_ties_a_trigger_to_its_boards_own_pins(second: Desk, grove: Desk) -> None:
    for desk, code in ((second, 5), (grove, 0)):
        assert messages(desk.talk(b'AT+TRIGGER="0,1,50,7,0,1"\r'))[0]["code"] == code


def test_2x_tells_what_this_machine_cannot_compute(second: Desk) -> None:
    second.toy.cannot = "no NPU"
    assert [(one["type"], one["code"]) for one in messages(second.talk(b"AT+INVOKE=1,1\r"))] == [
        (0, 0),
        (2, -1),
        (1, -1),
    ]


def test_2x_writes_its_id_in_decimal_and_the_grove_byte_by_byte(second: Desk, grove: Desk) -> None:
    one, other = (messages(second.talk(b"AT+ID?\r", label=label))[0]["data"] for label in ("one", "other"))
    assert one != other
    assert 0 <= int(one) < 1 << 32
    grove.memory.erase(0x3DF000, 16)
    grove.memory.program(0x3DF000, bytes([0, 7, 255, *range(13)]))
    assert grove.talk(b"AT+ID?\r") == reply_2("ID?", b'"072550123456789101112"')


def test_2x_rst_on_the_xiao_does_nothing_and_says_nothing(second: Desk) -> None:
    assert second.talk(b"AT+RST\r", b"AT+TIOU?\r") == reply_2("TIOU?", b"45")


def test_2x_of_the_grove_lists_default_and_seven_presets(grove: Desk) -> None:
    (said,) = messages(grove.talk(b"AT+SENSORS?\r"))
    (sensor,) = said["data"]["sensors"]
    assert [one["description"] for one in sensor["presets"]] == [
        "Default",
        *(f"{size} Small" for size in ("240x240", "416x416", "480x480", "640x480")),
        *(f"{size} Medium" for size in ("240x240", "416x416", "480x480")),
    ]
    assert sensor["current_preset_index"] == 1


def test_2x_takes_the_third_preset_for_default_and_the_xiao_has_none(second: Desk, grove: Desk) -> None:
    (said,) = messages(grove.talk(b"AT+SENSOR=0,1,0\r"))
    assert (said["code"], said["data"]["sensors"][0]["current_preset"]["id"]) == (0, 3)
    (said,) = messages(second.talk(b"AT+SENSOR=0,1,0\r"))
    assert (said["code"], said["data"]["sensors"][0]["initialized"]) == (5, False)


def test_2x_does_not_run_with_its_camera_off(second: Desk) -> None:
    off, invoke, sample = messages(second.talk(b"AT+SENSOR=0,0,1\r", b"AT+INVOKE=1,1\r", b"AT+SAMPLE=1\r"))
    assert (off["code"], off["data"]["sensors"][0]["initialized"]) == (0, False)
    assert (invoke["code"], invoke["data"]["models"][0]["id"], sample["code"]) == (9, 0, 9)


def test_2x_runs_frames_of_its_preset(grove: Desk) -> None:
    said = messages(grove.talk(b"AT+SENSOR=0,1,4\r", b"AT+INVOKE=1,1\r", b""))
    assert (said[-1]["data"]["width"], said[-1]["data"]["height"]) == (640, 480)


@pytest.mark.parametrize(
    ("name", "publish", "subscribe"),
    [(SECOND, "sscma/v0/xiao_esp32_s3_{}/tx", "/rx"), (GROVE, "ma/v0/grove_vision_ai_v2_{}/pub", "/sub")],
)
def test_2x_has_topics_from_the_beginning(tmp_path: Path, name: str, publish: str, subscribe: str) -> None:
    board, topics = messages(Desk(tmp_path, FIRMWARES[name]).talk(b"AT+ID?\rAT+MQTTPUBSUB?\r"))
    config = topics["data"]["config"]
    assert config["pub_topic"] == publish.format(board["data"])
    assert config["sub_topic"].endswith(subscribe)


def test_2x_names_its_topics_after_the_server_that_it_was_told_of(second: Desk) -> None:
    server = b'{"address":"broker","port":1883,"username":"u","password":"p","client_id":"me","use_ssl":0}'
    assert second.talk(b'AT+MQTTSERVER="me","broker",1883,"u","p",0\r') == reply_2("MQTTSERVER", server)
    topics, kept = messages(second.talk(b"AT+MQTTPUBSUB?\rAT+MQTTSERVER?\r"))
    assert topics["data"]["config"]["pub_topic"] == "sscma/v0/me/tx"
    assert (kept["data"]["config"]["address"], kept["data"]["status"]) == ("broker", 0)


def test_2x_writes_a_negative_algorithm_without_a_sign_and_in_an_invoke_with_one(second: Desk) -> None:
    said = second.talk(b"AT+ALGO=-1\rAT+ALGO?\r")
    assert said == reply_2("ALGO", b'{"algorithm":4294967295}') + reply_2("ALGO?", b'{"algorithm":4294967295}')
    second.toy.refused = b"\x1c"
    assert messages(second.talk(b"AT+INVOKE=1,1\r"))[0]["data"]["algorithm"]["type"] == -1


def test_2x_gives_models_addresses_in_its_own_boards_memory(second: Desk, grove: Desk) -> None:
    second.put(0x2000)
    models = messages(second.talk(b"AT+MODELS?\r"))[0]["data"]["models"]
    assert [one["address"] - models[0]["name"] for one in models] == [0, 0x2000]
    assert 0x3C000000 <= models[0]["name"] < 0x3E000000
    assert messages(grove.talk(b"AT+MODELS?\r"))[0]["data"]["models"][0]["address"] == 0x3A400000


def test_2x_keeps_a_network_that_it_was_told_of_and_refuses_a_short_password(second: Desk) -> None:
    told = b'{"name":"home","security":3,"password":"12345678"}'
    assert second.talk(b'AT+WIFI="home",3,"12345678"\r') == reply_2("WIFI", told)
    assert messages(second.talk(b"AT+WIFI?\r"))[0]["data"]["config"]["name"] == "home"
    assert messages(second.talk(b'AT+WIFI="home",3,"1234"\r'))[0]["code"] == 5


def test_2x_has_a_certificate_and_the_hash_of_it_is_refused_by_name(second: Desk) -> None:
    assert second.talk(b"AT+MQTTCA?\r") == reply_2("MQTTCA?", b'{"ca":""}')
    log, said = messages(second.talk(b'AT+MQTTCA="Y2E="\r'))
    assert "not simulated" in log["data"]
    assert said["data"] == {"hash": 0}
    assert messages(second.talk(b"AT+MQTTCA?\r"))[0]["data"] == {"ca": "Y2E="}


def test_2x_of_the_grove_is_told_of_its_hosts_network_and_the_xiao_has_its_own(second: Desk, grove: Desk) -> None:
    commands = b'AT+WIFISTA=2\rAT+WIFIIN6="fe80::1"\rAT+WIFIVER="1.2"\rAT+WIFIVER?\rAT+MQTTSERVERSTA=1\r'
    assert [one["code"] for one in messages(grove.talk(commands))] == [0] * 5
    assert [one["code"] for one in messages(second.talk(commands))] == [5] * 5
    silent = b'AT+WIFIIN4="10.0.0.2","255.0.0.0","10.0.0.1"\r'
    (said,) = messages(grove.talk(silent + b"AT+WIFI?\r"))
    assert said["data"]["in4_info"] == {"ip": "10.0.0.2", "netmask": "255.0.0.0", "gateway": "10.0.0.1"}


def test_2x_joins_commands_that_end_differently_and_come_at_once(second: Desk) -> None:
    assert second.talk(b"AT+TIOU?\nAT+TSCORE?\r") == reply_2("AT", b'"Uknown command: TIOU?AT+TSCORE?"', 5, 1)
    assert second.talk(b"AT+TIOU?\r\nAT+TSCORE?\r\n") == reply_2("TIOU?", b"45") + reply_2("TSCORE?", b"25")


def test_the_groves_build_of_2x_stores_limits_and_forgets_them_at_a_reset(grove: Desk, second: Desk) -> None:
    for desk, limit in ((grove, 25), (second, 60)):
        desk.settings.unlink(missing_ok=True)
        desk.talk(b"AT+TSCORE=60\r")
        assert desk.talk(b"AT+TSCORE?\r") == reply_2("TSCORE?", b"60")
        desk.toy.algorithm = 5
        desk.talk(b"AT+INVOKE=1,1\r", b"")
        assert desk.toy.asked[0][0] == limit
