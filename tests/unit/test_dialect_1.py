"""What SSCMA 1.x does that a host would not guess, byte for byte as its sources have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from firmware_talk import FIRMWARES, SLOT, Desk, desk_of, messages, reply

from edgewright.boards.virtual.identity import fnv
from edgewright.boards.virtual.wire import Reset

NEWEST, OLDEST, HEAD = "grove-vision-ai-v2-sscma-1.x", "esp32s3-sscma-1.x", "esp32s3-sscma-1.0-head"
APRIL, JANUARY = "grove-vision-ai-v2-sscma-2024-04", "grove-vision-ai-v2-sscma-2024-01"
NO_SENSOR = {"id": 0, "type": 0, "state": 0, "opt_id": -1, "opt_detail": "Unknown", "opts": {}}


@pytest.fixture
def newest(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, NEWEST)


@pytest.fixture
def head(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, HEAD)


@pytest.fixture
def oldest(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, OLDEST)


def codes(said: bytes) -> list[int]:
    return [one["code"] for one in messages(said)]


# --- HELP?


def test_help_lists_what_was_registered_last_first_with_arguments_and_descriptions(newest: Desk) -> None:
    said = newest.talk(b"AT+HELP?\r").decode()
    assert said.startswith(
        '  AT+GETREG=<"ADDR">\n    Get register\n  AT+SETREG=<"ADDR","VAL">\n    Set register\n  AT+OTA\n    Enter OTA mode\n'
    )
    assert said.endswith("  AT+ID?\n    Get device ID\n  AT+HELP?\n    List available commands\n")
    assert said.count("  AT+SENSOR=") == 1
    assert "  AT+SENSOR=<SENSOR_ID,ENABLE/DISABLE,OPT_ID>\n    Set a default sensor by sensor ID\n" in said


def test_help_shows_limits_while_a_model_runs_and_of_an_old_build_what_it_had(newest: Desk, oldest: Desk) -> None:
    said = newest.talk(b"AT+INVOKE=-1,0,1\r", b"AT+HELP?\r")
    assert b"}}\n  AT+TIOU?\n    Get IoU threshold\n  AT+TIOU=<IOU_THRESHOLD>\n" in said
    names = re.findall(r"AT\+([A-Z0-9?]+)", oldest.talk(b"AT+HELP?\r").decode())
    assert names[:3] == ["MQTTPUBSUB?", "MQTTSERVER?", "MQTTSERVER"]
    assert not {"WIFISTA", "OTA", "SETREG"} & set(names)


# --- lines and arguments


def test_hexadecimal_letters_are_arguments_since_43aecd9(newest: Desk, oldest: Desk) -> None:
    assert codes(newest.talk(b"AT+MODEL=a\r")) == [5]
    assert messages(newest.talk(b"AT+MODEL=a\r"))[0]["name"] == "MODEL"
    assert oldest.talk(b"AT+MODEL=a\r") == reply("AT", b'"Command MODEL got wrong arguements."', 5, 2)


def test_commands_that_end_differently_and_come_at_once_are_one(newest: Desk) -> None:
    joined = reply("AT", b'"Unknown command: AT+SAMPLE?AT+INVOKE?"', 5, 2)
    assert newest.talk(b"AT+SAMPLE?\rAT+INVOKE?\n") == joined


def test_an_end_alone_is_a_command_that_it_does_not_know(newest: Desk) -> None:
    nothing = reply("AT", b'"Unknown command: "', 5, 2)
    assert newest.talk(b"\r") == nothing
    assert newest.talk(b"AT+SAMPLE?\r\nAT+INVOKE?\r\n") == reply("SAMPLE?", b"0") + reply("INVOKE?", b"0") + nothing


# --- identity


def test_the_groves_id_follows_what_is_written_in_its_flash(newest: Desk) -> None:
    before = newest.talk(b"AT+ID?\r")
    newest.memory.erase(0x3DF000, 16)
    newest.memory.program(0x3DF000, bytes(range(16)))
    assert newest.talk(b"AT+ID?\r", label="other") == reply("ID?", f'"{fnv(bytes(range(16))):08x}"'.encode()) != before
    assert fnv(b"") == 0x811C9DC5
    assert fnv(b"a") == 0xE40C292C


def test_two_xiaos_have_two_ids(oldest: Desk) -> None:
    one, other = oldest.talk(b"AT+ID?\r", label="one"), oldest.talk(b"AT+ID?\r", label="other")
    assert one != other
    assert re.fullmatch("[0-9a-f]{8}", messages(one)[0]["data"])


# --- the camera


def test_an_option_that_is_not_there_leaves_no_sensor_until_one_is_set(newest: Desk) -> None:
    said = messages(newest.talk(b"AT+SENSOR=1,1,9\rAT+SENSOR?\r", b"AT+INVOKE=1,0,1\r", b"AT+SAMPLE=1\r"))
    bad, sensor, _, invoke, sample = said
    assert (bad["code"], bad["data"]["sensor"]["id"], bad["data"]["sensor"]["state"]) == (5, 1, 1)
    assert sensor["data"] == NO_SENSOR
    assert (invoke["code"], invoke["data"]["sensor"], invoke["data"]["model"]["id"]) == (4, NO_SENSOR, 0)
    assert (sample["code"], sample["data"]["sensor"]) == (4, NO_SENSOR)
    assert codes(newest.talk(b"AT+SENSOR=1,1,9\rAT+SENSOR=1,1,2\r", b"AT+INVOKE=1,0,1\r", b"")) == [5, 0, 0, 0, 0]


def test_a_sensor_that_is_not_there_and_an_option_that_is(newest: Desk) -> None:
    said = messages(newest.talk(b"AT+SENSOR=2,1,0\rAT+SENSOR=1,1,2\r"))
    assert [(one["code"], one["data"]["sensor"]["opt_id"]) for one in said] == [(5, -1), (0, 2)]
    assert messages(newest.talk(b"AT+SENSOR?\r"))[0]["data"]["opt_detail"] == "640x480 Auto"


@pytest.mark.parametrize(("name", "code"), [(NEWEST, 9), (HEAD, 4), (OLDEST, 4), (JANUARY, 3)])
def test_with_its_camera_off_it_begins_to_run_and_the_first_frame_fails(tmp_path: Path, name: str, code: int) -> None:
    said = messages(desk_of(tmp_path, name).talk(b"AT+SENSOR=1,0,0\r", b"AT+INVOKE=-1,0,1\r", b"", b"AT+INVOKE?\r"))
    assert [one["code"] for one in said if one["name"] == "INVOKE"] == [0, code]
    assert said[-2]["data"] == {"count": 1}
    assert said[-1]["data"] == 0


@pytest.mark.parametrize(("option", "frame"), [(0, [240, 240]), (1, [480, 480]), (2, [640, 480])])
def test_a_frame_is_as_large_as_the_cameras_option(newest: Desk, option: int, frame: list[int]) -> None:
    said = messages(newest.talk(f"AT+SENSOR=1,1,{option}\r".encode(), b"AT+INVOKE=1,0,1\r", b""))
    assert said[-1]["data"]["resolution"] == frame


def test_the_xiaos_head_has_one_option(head: Desk) -> None:
    sensors, bad = messages(head.talk(b"AT+SENSORS?\rAT+SENSOR=1,1,1\r"))
    assert sensors["data"][0]["opts"] == {"0": "240x240 Auto"}
    assert bad["code"] == 5


def test_an_option_is_kept_over_a_reset_since_13b7544(newest: Desk, tmp_path: Path) -> None:
    for desk, option in ((newest, 2), (desk_of(tmp_path, APRIL), 0)):
        desk.talk(b"AT+SENSOR=1,1,2\r")
        assert messages(desk.talk(b"AT+SENSOR?\r"))[0]["data"]["opt_id"] == option


def test_pictures_that_are_turned_are_refused_by_name(newest: Desk) -> None:
    turned, *_, log, event = messages(newest.talk(b"AT+SENSOR=1,1,8193\r", b"AT+INVOKE=1,0,1\r", b""))
    assert (turned["code"], turned["data"]["sensor"]["opt_id"]) == (0, 1)
    assert log["data"] == "not simulated: pictures turned by 180 degrees"
    assert event["code"] == 10
    assert codes(newest.talk(b"AT+SENSOR=1,1,12289\r")) == [5]


def test_pictures_without_a_model_are_refused_by_name(tmp_path: Path) -> None:
    said = messages(Desk(tmp_path, FIRMWARES[NEWEST]).talk(b"AT+SAMPLE=1\r", b""))
    assert said[1]["data"].startswith("not simulated: pictures without a model")


def test_registers_hold_what_was_written_and_others_are_refused_by_name(newest: Desk) -> None:
    said = newest.talk(b'AT+SETREG="3008",82\rAT+GETREG=3008\r')
    assert said == b'\r{"type": 0, "name": "SETREG", "code": 0}\n' + reply("GETREG", b"130")
    log, refused = messages(newest.talk(b'AT+GETREG="3009"\r'))
    assert "not simulated" in log["data"]
    assert refused["code"] == 4
    with pytest.raises(Reset):
        newest.talk(b'AT+GETREG="red"\r')


# --- ACTION


def test_an_action_with_bad_grammar_is_refused_and_the_one_before_stays(newest: Desk) -> None:
    good = b"((count(target,0)>=3)&&led(1))||led(0)"
    kept, bad, asked = messages(newest.talk(b'AT+ACTION="' + good + b'"\rAT+ACTION="led(1) led(0)"\rAT+ACTION?\r'))
    assert (kept["code"], bad["code"], asked["code"]) == (0, 5, 0)
    assert bad["data"] == {"crc16_maxim": kept["data"]["crc16_maxim"], "action": "led(1) led(0)"}
    assert asked["data"]["action"] == good.decode()


def test_an_empty_action_on_a_fresh_board_stores_nothing(head: Desk) -> None:
    head.talk(b'AT+ACTION=""\r')
    assert b"INIT@ACTION" not in head.talk(booting=True)
    head.talk(b'AT+ACTION="led(1)"\r', b'AT+ACTION=""\r')
    assert b'"INIT@ACTION", "code": 0, "data": {"crc16_maxim": 65535, "action": ""}' in head.talk(booting=True)


def test_an_action_too_deep_for_the_firmware_is_refused_by_name(newest: Desk) -> None:
    (said,) = messages(newest.talk(b'AT+ACTION="' + b"(" * 4000 + b'"\r'))
    assert said["data"].startswith("not simulated: an expression so deep")


# --- networks


def test_a_network_is_stored_and_what_a_host_tells_of_it_repeated(newest: Desk) -> None:
    wifi = b'{"name_type": 0, "name": "home", "security": 3, "password": "secret"}'
    assert newest.talk(b'AT+WIFI="home",3,"secret"\r') == reply("WIFI", wifi)
    said = newest.talk(
        b'AT+WIFISTA=2\rAT+WIFIIN4="10.0.0.2","255.0.0.0","10.0.0.1"\rAT+WIFIIN6="fe80::1"\rAT+WIFIVER="1.2"\r'
        b"AT+WIFIVER?\rAT+WIFI?\r"
    )
    in4 = b'{"ip": "10.0.0.2", "netmask": "255.0.0.0", "gateway": "10.0.0.1"}'
    in6 = b'{"ip": "fe80:1:0:0:0:0:0:0"}'
    version = b'{"ver": "1.2"}'
    whole = b'{"status": 2, "in4_info": ' + in4 + b', "in6_info": ' + in6 + b', "config": ' + wifi + b"}"
    assert said == (
        reply("WIFISTA", b'{"status": 2}')
        + reply("WIFIIN4", b'{"in4_info": ' + in4 + b"}")
        + reply("WIFIIN6", b'{"in6_info": ' + in6 + b"}")
        + reply("WIFIVER", version)
        + reply("WIFIVER?", version)
        + reply("WIFI?", whole)
    )
    assert codes(newest.talk(b'AT+WIFI="' + b"n" * 32 + b'",0,""\r')) == [5]


def test_a_server_is_stored_and_gives_the_topics_their_name(newest: Desk) -> None:
    told, topics, status, kept = messages(
        newest.talk(b'AT+MQTTSERVER="","broker",0,"u","p",1\rAT+MQTTPUBSUB?\rAT+MQTTSERVERSTA=1\rAT+MQTTSERVER?\r')
    )
    board = messages(newest.talk(b"AT+ID?\r"))[0]["data"]
    assert told["data"]["client_id"] == f"grove_vision_ai_v2_{board}"
    assert topics["data"]["config"]["sub_topic"] == f"sscma/v0/grove_vision_ai_v2_{board}/rx"
    assert (status["data"], kept["data"]) == ({"status": 1}, {"status": 1, "config": told["data"]})
    assert messages(newest.talk(b"AT+MQTTPUBSUB?\r"))[0]["data"]["config"]["pub_topic"] == "sscma/v0//tx"


def test_a_board_with_a_network_of_its_own_has_a_name_and_a_port_and_tells_of_them_at_boot(head: Desk) -> None:
    board, topics = messages(head.talk(b"AT+ID?\rAT+MQTTPUBSUB?\r"))
    assert topics["data"]["config"]["pub_topic"] == f"sscma/v0/xiao_esp32_s3_{board['data']}/tx"
    assert codes(head.talk(b'AT+WIFI="home",3,"short"\rAT+WIFISTA=1\r')) == [5, 5]
    head.talk(b'AT+WIFI="home",3,"long enough"\rAT+MQTTSERVER="me","broker",0,"","",1\r')
    names = [one["name"] for one in messages(head.talk(booting=True))]
    assert names == ["INIT@SENSOR", "INIT@WIFI", "INIT@MQTTSERVER", "INIT@STAT?"]
    assert messages(head.talk(b"AT+MQTTSERVER?\r"))[0]["data"]["config"]["port"] == 8883


def test_ota_says_its_words_and_what_is_not_done(newest: Desk) -> None:
    said = newest.talk(b"AT+OTA\r")
    assert said.startswith(b"Enter bootloader\r\n\r{")
    assert b"not simulated: writing the flash through the pins" in said


def test_where_the_slot_lies_the_flash_of_the_tests_has_the_id_too() -> None:
    addresses: set[Any] = {one.at.id_address for one in FIRMWARES.values() if one.at}
    assert all(address is None or address < SLOT for address in addresses)
