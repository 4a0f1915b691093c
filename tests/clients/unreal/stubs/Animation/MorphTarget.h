#pragma once
#include "CoreMinimal.h"

class UMorphTarget
{
public:
	FString GetName() const { return {}; }
	FName GetFName() const { return {}; }
};
