#pragma once
#include "Dom/JsonObject.h"
#include "Serialization/JsonReader.h"

struct FJsonSerializer
{
	static bool Deserialize(const TSharedPtr<TJsonReader<>>&, TSharedPtr<FJsonObject>&) { return false; }
};
